# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for tagfs, mkfs.tagfs and fsck.tagfs: what --help says.
_tagfs()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local help words= list=

	if [ "$prev" = -o ] && [ "${1##*/}" = tagfs ]; then
		# One more of a list: the names that are indented deepest.
		[[ $cur = *,* ]] && list=${cur%,*},
		words=$("$1" --help 2>/dev/null | sed -nE \
			's/^ {5}([a-z_]+=?)(, ([a-z_]+=?))?.*/\1 \3/p')
		compopt -o nospace
	elif [[ $cur = -* ]]; then
		help=$("$1" --help 2>/dev/null)
		words=$(sed -nE 's/^  (-[^ ]*)( +|, )(--?[a-z-]+)?.*/\1 \3/p' \
			<<<"$help" | tr -d ,)
	fi
	mapfile -t COMPREPLY < <(compgen -P "$list" -W "$words" -- "${cur##*,}")
}
complete -o default -F _tagfs tagfs mkfs.tagfs fsck.tagfs

# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for tagfsctl
_tagfsctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words=

	if [ "$COMP_CWORD" -eq 1 ]; then
		words="dump label locate probe restore status tags uuid"
		words="$words --help --version"
	elif [ "$verb" = dump ] && [ "$COMP_CWORD" -eq 2 ]; then
		words="super slot log tree node record --json"
	elif [[ $cur = -* ]]; then
		case $verb in
		dump) words="--json" ;;
		locate) words="--json --lba" ;;
		probe) words="--export" ;;
		restore) words="--list --on-error= --report --scan" ;;
		status) words="--json --metrics" ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _tagfsctl tagfsctl

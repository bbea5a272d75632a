# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for tagfsctl
_tagfsctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words=

	if [ "$COMP_CWORD" -eq 1 ]; then
		words="device dump errors image label locate probe restore scrub status"
		words="$words tags uuid"
		words="$words --help --version"
	elif [ "$verb" = dump ] && [ "$COMP_CWORD" -eq 2 ]; then
		words="super slot log tree node record --json"
	elif [ "$verb" = device ] && [ "$COMP_CWORD" -eq 2 ]; then
		words="list add replace return remove"
	elif [ "$verb" = scrub ] && [ "$COMP_CWORD" -eq 2 ]; then
		words="start status pause resume cancel wait"
	elif [[ $cur = -* ]]; then
		case $verb in
		device) words="--json --leg -f -K" ;;
		dump) words="--json" ;;
		errors) words="--json --clear" ;;
		image) words="-f --anonymise --with-inline --json" ;;
		scrub) words="--json --rate --data --meta --errors" ;;
		locate) words="--json --lba" ;;
		probe) words="--export" ;;
		restore) words="--list --device --on-error= --report --map --scan --nonce --container --scratch --memory" ;;
		status) words="--json --metrics" ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _tagfsctl tagfsctl

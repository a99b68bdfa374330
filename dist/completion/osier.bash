# SPDX-License-Identifier: Apache-2.0
# bash completion for osier: `osier __complete` knows the commands, their options and the jobs.
_osier() {
	local line words=() i cur=${COMP_WORDS[COMP_CWORD]}
	for ((i = 1; i <= COMP_CWORD; i++)); do words+=("${COMP_WORDS[i]}"); done
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		@file) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames 2>/dev/null ;;
		@folder) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames 2>/dev/null ;;
		*) COMPREPLY+=("$line") ;;
		esac
	done < <("${COMP_WORDS[0]}" __complete -- "${words[@]}" 2>/dev/null)
	return 0
}
complete -F _osier osier

# SPDX-License-Identifier: Apache-2.0
# bash completion for osier: `osier __complete` knows the commands, their options and the jobs.
_osier() {
	local line words=() i w cur=${COMP_WORDS[COMP_CWORD]} rest=${COMP_LINE-}
	rest=${rest:${#COMP_WORDS[0]}}
	# Bash cuts words at '=' and ':', too: what has no blank before it belongs to the word before it.
	for ((i = 1; i <= COMP_CWORD; i++)); do
		w=${COMP_WORDS[i]}
		if [[ -z ${COMP_LINE-} || $rest == [[:blank:]]* ]]; then words+=("$w"); else words[${#words[@]} - 1]+=$w; fi
		rest=${rest#"${rest%%[![:blank:]]*}"}
		rest=${rest#"$w"}
	done
	[[ $cur != [=:] ]] || cur=
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		@file) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames 2>/dev/null ;;
		@folder) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames 2>/dev/null ;;
		*) COMPREPLY+=("${line#"${words[${#words[@]} - 1]%"$cur"}"}") ;;
		esac
	done < <("${COMP_WORDS[0]}" __complete -- "${words[@]}" 2>/dev/null)
	return 0
}
complete -F _osier osier

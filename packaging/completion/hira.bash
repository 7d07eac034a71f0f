# Completion of hira's command line, for bash.
# SPDX-License-Identifier: Apache-2.0
_hira_tenants() {
	hira tenant list 2>/dev/null | awk 'NR > 2 { print $1 }'
}

_hira_hosts() {
	local file
	for file in "${HIRA_HOSTS:-}" "${XDG_CONFIG_HOME:-$HOME/.config}/hira/hosts.conf" /etc/hira/hosts.conf; do
		[ -r "$file" ] || continue
		sed -n 's/^[[:space:]]*host[[:space:]]*"\{0,1\}\([A-Za-z0-9_.-]\{1,\}\).*/\1/p' "$file"
		return
	done
}

_hira() {
	local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]:-}
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "run stat trace predict top status kill tenant pause resume reload container vm doctor build spec help" -- "$cur")
		return
	fi
	case $verb in
	trace)
		mapfile -t COMPREPLY < <(compgen -W "$(_hira_tenants) --functions --json --chrome -o --socket --" -- "$cur")
		;;
	run | doctor | stat)
		if [ "${COMP_WORDS[COMP_CWORD - 1]}" = --on ]; then
			mapfile -t COMPREPLY < <(compgen -W "$(_hira_hosts)" -- "$cur")
		elif [ "$verb" = doctor ]; then
			mapfile -t COMPREPLY < <(compgen -W "--json --on --api --psk --cert --key --ca --plain --socket --lib-dir --server-dir" -- "$cur")
		elif [[ $cur == --* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "--api --strict --socket --vendor-icd --lib-dir --server-dir --on --psk --cert --key --ca --plain --network" -- "$cur")
		else
			mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		fi
		;;
	predict)
		mapfile -t COMPREPLY < <(compgen -W "--delay --rate --json --" -- "$cur")
		;;
	pause | resume | kill)
		mapfile -t COMPREPLY < <(compgen -W "$(_hira_tenants) --socket" -- "$cur")
		;;
	tenant)
		if [ "$COMP_CWORD" = 2 ]; then
			mapfile -t COMPREPLY < <(compgen -W "list show set --json --socket" -- "$cur")
		elif [ "$COMP_CWORD" = 3 ]; then
			mapfile -t COMPREPLY < <(compgen -W "$(_hira_tenants)" -- "$cur")
		else
			compopt -o nospace
			mapfile -t COMPREPLY < <(compgen -W "weight= priority= class= calls= calls_burst= bytes= bytes_burst= device_ms= device_ms_burst= memory=" -- "$cur")
		fi
		;;
	container)
		mapfile -t COMPREPLY < <(compgen -W "args cdi --name --socket --api --lib-dir" -- "$cur")
		;;
	vm)
		mapfile -t COMPREPLY < <(compgen -W "args bridge --qemu --libvirt --uml --name --cid --memory --shared --port --socket" -- "$cur")
		;;
	spec)
		mapfile -t COMPREPLY < <(compgen -W "init check explain coverage format" -- "$cur")
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	esac
}
complete -F _hira hira

# Completion of dom1 for bash. Commands and options are those that the dom1 on PATH tells of itself, so they are never old.

_dom1_commands() {
  dom1 --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p'
}

_dom1_options() {
  dom1 "$1" --help 2>/dev/null | grep -oE -- '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | sort -u
}

_dom1_domains() {
  dom1 list 2>/dev/null | sed '1d; s/ .*//'
}

_dom1() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-} words=
  if ((COMP_CWORD == 1)); then
    words="$(_dom1_commands) --help --version"
  elif [[ $word == -* ]]; then
    words=$(_dom1_options "$command")
  else
    case $command in
      info | console | pause | unpause | shutdown | reboot | destroy | sysrq | balloon | vcpu-set | trigger | events)
        words=$(_dom1_domains)
        ;;
      save)
        ((COMP_CWORD > 2)) || words=$(_dom1_domains)
        ;;
    esac
  fi
  if [[ $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  else
    compopt -o default 2>/dev/null
    COMPREPLY=()
  fi
}

complete -F _dom1 dom1

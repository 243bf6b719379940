# Completion of dom1 for fish. Commands and options are those that the dom1 on PATH tells of itself.

function __dom1_commands
    dom1 --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\)  *\(.*\)/\1\t\2/p'
end

function __dom1_options
    dom1 (commandline -opc)[2] --help 2>/dev/null | grep -oE -- '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | sort -u
end

function __dom1_domains
    dom1 list 2>/dev/null | sed '1d; s/ .*//'
end

complete -c dom1 -n 'test (count (commandline -opc)) -eq 1' -f -a '(__dom1_commands)'
complete -c dom1 -n 'test (count (commandline -opc)) -gt 1; and string match -q -- "-*" (commandline -ct)' -a '(__dom1_options)'
complete -c dom1 -n '__fish_seen_subcommand_from save' -a '(__dom1_domains)'
complete -c dom1 -n '__fish_seen_subcommand_from info console pause unpause shutdown reboot destroy sysrq balloon vcpu-set trigger events' -f -a '(__dom1_domains)'

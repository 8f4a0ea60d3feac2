# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_systole_global_optspecs
    string join \n h/help V/version
end

function __fish_systole_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_systole_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_systole_using_subcommand
    set -l cmd (__fish_systole_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c systole -n "__fish_systole_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_needs_command" -s V -l version -d 'Print version'
complete -c systole -n "__fish_systole_needs_command" -f -a "status" -d 'Show this node, the other one, their links and the groups, on one screen'
complete -c systole -n "__fish_systole_needs_command" -f -a "top" -d 'Show this node and the other one all the time, on a terminal of its own'
complete -c systole -n "__fish_systole_needs_command" -f -a "check" -d 'One line for a monitoring system: OK, WARNING, CRITICAL or UNKNOWN'
complete -c systole -n "__fish_systole_needs_command" -f -a "view" -d 'Show the same as one JSON object, for programs'
complete -c systole -n "__fish_systole_needs_command" -f -a "why" -d 'Show the last 50 decisions of this node, each with its cause'
complete -c systole -n "__fish_systole_needs_command" -f -a "metrics" -d 'Print what a Prometheus server scrapes'
complete -c systole -n "__fish_systole_needs_command" -f -a "doctor" -d 'Find mistakes in the files and on the host, here and on the other node'
complete -c systole -n "__fish_systole_needs_command" -f -a "plan" -d 'Show what the pair of these files would do, step by step'
complete -c systole -n "__fish_systole_needs_command" -f -a "tune" -d 'Propose keepalive, warntime and deadtime for an allowed rate of mistakes'
complete -c systole -n "__fish_systole_needs_command" -f -a "export" -d 'Write the files of another cluster manager that mean the same'
complete -c systole -n "__fish_systole_needs_command" -f -a "standby" -d 'Give groups to the other node'
complete -c systole -n "__fish_systole_needs_command" -f -a "takeover" -d 'Take groups from the other node'
complete -c systole -n "__fish_systole_needs_command" -f -a "reload" -d 'Check the files, and have the daemon work with them'
complete -c systole -n "__fish_systole_needs_command" -f -a "freeze" -d 'Begin maintenance: this node starts and stops no resource'
complete -c systole -n "__fish_systole_needs_command" -f -a "thaw" -d 'End maintenance: this node manages resources again'
complete -c systole -n "__fish_systole_needs_command" -f -a "monitor" -d 'Run the checks of a group by hand'
complete -c systole -n "__fish_systole_needs_command" -f -a "clear" -d 'Say that what failed in a group is repaired'
complete -c systole -n "__fish_systole_needs_command" -f -a "fence" -d 'Look at the fencing devices, test them, or say that a node is off'
complete -c systole -n "__fish_systole_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c systole -n "__fish_systole_using_subcommand status" -l json -d 'Print one JSON object, as view does'
complete -c systole -n "__fish_systole_using_subcommand status" -l watch -d 'Show it again each second, until Ctrl-C'
complete -c systole -n "__fish_systole_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand check" -l json -d 'Print one JSON object'
complete -c systole -n "__fish_systole_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand view" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand why" -l json -d 'Print one JSON object'
complete -c systole -n "__fish_systole_using_subcommand why" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand metrics" -l textfile -d 'Write it to FILE, whole or not at all, for the collector of node_exporter' -r -F
complete -c systole -n "__fish_systole_using_subcommand metrics" -l openmetrics -d 'Print the OpenMetrics form'
complete -c systole -n "__fish_systole_using_subcommand metrics" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand doctor" -l peer -d 'Look at the other node too: a copy of its root directory, or of its /etc/ha.d' -r -F
complete -c systole -n "__fish_systole_using_subcommand doctor" -l root -d 'Look at this copy of a node instead of this host' -r -F
complete -c systole -n "__fish_systole_using_subcommand doctor" -l only -d 'Show the findings of one rule only, D07 for instance' -r
complete -c systole -n "__fish_systole_using_subcommand doctor" -l json -d 'Print one JSON object'
complete -c systole -n "__fish_systole_using_subcommand doctor" -l facts -d 'Print what a copy of this node\'s files does not tell, for DIR/host.json'
complete -c systole -n "__fish_systole_using_subcommand doctor" -l unhurried -d 'Take only time that nobody else wants'
complete -c systole -n "__fish_systole_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand plan" -l if -d 'Show one incident step by step' -r
complete -c systole -n "__fish_systole_using_subcommand plan" -l legacy -d 'The node that runs the legacy program' -r
complete -c systole -n "__fish_systole_using_subcommand plan" -l script -d 'How long each start and stop of a group takes' -r
complete -c systole -n "__fish_systole_using_subcommand plan" -l json -d 'Print one JSON object'
complete -c systole -n "__fish_systole_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand tune" -l mistakes -d 'Mistakes that are allowed in a day, week, month or year' -r
complete -c systole -n "__fish_systole_using_subcommand tune" -l json -d 'Print one JSON object'
complete -c systole -n "__fish_systole_using_subcommand tune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand export" -l out -d 'The directory to make; it must not be there, or be empty' -r -F
complete -c systole -n "__fish_systole_using_subcommand export" -l root -d 'Read this copy of a node instead of this host' -r -F
complete -c systole -n "__fish_systole_using_subcommand export" -l lossy -d 'Write the files although something is lost'
complete -c systole -n "__fish_systole_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand standby" -l wait -d 'Wait until it is done, or has failed'
complete -c systole -n "__fish_systole_using_subcommand standby" -l force -d 'Do it although haresources of the nodes differ'
complete -c systole -n "__fish_systole_using_subcommand standby" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand takeover" -l wait -d 'Wait until it is done, or has failed'
complete -c systole -n "__fish_systole_using_subcommand takeover" -l force -d 'Do it although haresources of the nodes differ'
complete -c systole -n "__fish_systole_using_subcommand takeover" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand reload" -l wait -d 'Wait until the daemon works with them, at most two minutes'
complete -c systole -n "__fish_systole_using_subcommand reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand freeze" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand thaw" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand monitor; and not __fish_seen_subcommand_from run help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand monitor; and not __fish_seen_subcommand_from run help" -f -a "run" -d 'Run the checks of GROUP once, and show their answers'
complete -c systole -n "__fish_systole_using_subcommand monitor; and not __fish_seen_subcommand_from run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c systole -n "__fish_systole_using_subcommand monitor; and __fish_seen_subcommand_from run" -l json -d 'Print one JSON object'
complete -c systole -n "__fish_systole_using_subcommand monitor; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand monitor; and __fish_seen_subcommand_from help" -f -a "run" -d 'Run the checks of GROUP once, and show their answers'
complete -c systole -n "__fish_systole_using_subcommand monitor; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c systole -n "__fish_systole_using_subcommand clear" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand fence; and not __fish_seen_subcommand_from list status test confirm help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand fence; and not __fish_seen_subcommand_from list status test confirm help" -f -a "list" -d 'Show the devices, and which nodes each can reset'
complete -c systole -n "__fish_systole_using_subcommand fence; and not __fish_seen_subcommand_from list status test confirm help" -f -a "status" -d 'Show whether the devices work, and what is reset now'
complete -c systole -n "__fish_systole_using_subcommand fence; and not __fish_seen_subcommand_from list status test confirm help" -f -a "test" -d 'Ask each device now, and show what a reset of NODE would run'
complete -c systole -n "__fish_systole_using_subcommand fence; and not __fish_seen_subcommand_from list status test confirm help" -f -a "confirm" -d 'Say that NODE is off: its groups are taken over without a reset'
complete -c systole -n "__fish_systole_using_subcommand fence; and not __fish_seen_subcommand_from list status test confirm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON object'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from test" -l json -d 'Print one JSON object'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from confirm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from help" -f -a "list" -d 'Show the devices, and which nodes each can reset'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show whether the devices work, and what is reset now'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from help" -f -a "test" -d 'Ask each device now, and show what a reset of NODE would run'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from help" -f -a "confirm" -d 'Say that NODE is off: its groups are taken over without a reset'
complete -c systole -n "__fish_systole_using_subcommand fence; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "status" -d 'Show this node, the other one, their links and the groups, on one screen'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "top" -d 'Show this node and the other one all the time, on a terminal of its own'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "check" -d 'One line for a monitoring system: OK, WARNING, CRITICAL or UNKNOWN'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "view" -d 'Show the same as one JSON object, for programs'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "why" -d 'Show the last 50 decisions of this node, each with its cause'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "metrics" -d 'Print what a Prometheus server scrapes'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "doctor" -d 'Find mistakes in the files and on the host, here and on the other node'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "plan" -d 'Show what the pair of these files would do, step by step'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "tune" -d 'Propose keepalive, warntime and deadtime for an allowed rate of mistakes'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "export" -d 'Write the files of another cluster manager that mean the same'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "standby" -d 'Give groups to the other node'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "takeover" -d 'Take groups from the other node'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "reload" -d 'Check the files, and have the daemon work with them'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "freeze" -d 'Begin maintenance: this node starts and stops no resource'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "thaw" -d 'End maintenance: this node manages resources again'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "monitor" -d 'Run the checks of a group by hand'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "clear" -d 'Say that what failed in a group is repaired'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "fence" -d 'Look at the fencing devices, test them, or say that a node is off'
complete -c systole -n "__fish_systole_using_subcommand help; and not __fish_seen_subcommand_from status top check view why metrics doctor plan tune export standby takeover reload freeze thaw monitor clear fence help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c systole -n "__fish_systole_using_subcommand help; and __fish_seen_subcommand_from monitor" -f -a "run" -d 'Run the checks of GROUP once, and show their answers'
complete -c systole -n "__fish_systole_using_subcommand help; and __fish_seen_subcommand_from fence" -f -a "list" -d 'Show the devices, and which nodes each can reset'
complete -c systole -n "__fish_systole_using_subcommand help; and __fish_seen_subcommand_from fence" -f -a "status" -d 'Show whether the devices work, and what is reset now'
complete -c systole -n "__fish_systole_using_subcommand help; and __fish_seen_subcommand_from fence" -f -a "test" -d 'Ask each device now, and show what a reset of NODE would run'
complete -c systole -n "__fish_systole_using_subcommand help; and __fish_seen_subcommand_from fence" -f -a "confirm" -d 'Say that NODE is off: its groups are taken over without a reset'

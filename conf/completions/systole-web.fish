complete -c systole-web -l listen -d 'Where to listen: an address and a port, as 192.0.2.1:9694 or [::1]:9694' -r
complete -c systole-web -l host -d 'A name under which browsers ask for the page; may be given more than once' -r
complete -c systole-web -l socket -d 'The view socket of the daemon' -r -F
complete -c systole-web -s h -l help -d 'Print help (see more with \'--help\')'
complete -c systole-web -s V -l version -d 'Print version'

# fish completion for daedalus(1), which tells itself what its command line may hold.
complete -c daedalus -a '(daedalus complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'

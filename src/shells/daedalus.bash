# bash completion for daedalus(1), which tells itself what its command line may hold.
_daedalus() {
    local cur prev words cword i
    _init_completion || return
    for ((i = 2; i < cword; i++)); do
        if [[ ${words[1]} == run && ${words[i]} == -- ]]; then
            _command_offset $((i + 1))
            return
        fi
    done
    mapfile -t COMPREPLY < <("${words[0]}" complete "${words[@]:1:cword}" 2>/dev/null)
    ((${#COMPREPLY[@]})) || _filedir
}
complete -F _daedalus daedalus

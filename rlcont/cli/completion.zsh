_rlcont() {
    local -a ready open
    local candidate
    while IFS= read -r candidate; do
        if [[ $candidate == *[=./,] ]]; then open+=("$candidate"); else ready+=("$candidate"); fi
    done < <("${words[1]}" --candidates "${(@)words[2,CURRENT]}" 2>/dev/null)
    compadd -S '' -- $open
    compadd -- $ready
    (( $#open + $#ready )) || _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _rlcont rlcont

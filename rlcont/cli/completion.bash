# bash splits words at = and :, and replaces only what follows the last of them.
_rlcont() {
    local line=${COMP_LINE:0:COMP_POINT}
    local words; read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local word=${words[${#words[@]}-1]}
    local kept=${word%"${word##*[=:]}"}
    COMPREPLY=()
    local candidate
    while IFS= read -r candidate; do
        [[ $candidate == *[=./,] ]] && compopt -o nospace 2>/dev/null
        COMPREPLY+=("${candidate#"$kept"}")
    done < <("${words[0]}" --candidates "${words[@]:1}" 2>/dev/null)
}
complete -o default -F _rlcont rlcont

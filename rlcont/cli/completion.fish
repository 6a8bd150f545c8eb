function __rlcont_candidates
    set -l words (commandline -opc)
    $words[1] --candidates $words[2..-1] (commandline -ct) 2>/dev/null
end
complete --command rlcont --no-files --arguments '(__rlcont_candidates)'

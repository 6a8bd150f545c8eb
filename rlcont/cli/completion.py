"""Shell completion: what may follow the words typed so far, and the scripts that ask for it."""

from __future__ import annotations

from pathlib import Path

from rlcont.cli.words import CHANGEABLE, COMMANDS, FLAGS
from rlcont.config.fields import (
    KINDS,
    Field,
    algorithm_fields,
    general_fields,
    option_fields,
    search_fields,
    sweep_fields,
)
from rlcont.config.names import GROUPS, default_option, options
from rlcont.core.errors import UserError
from rlcont.core.spelling import nearest

# bash splits words at = and :, and replaces only what follows the last of them.
BASH = """\
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
"""
ZSH = """\
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
"""
FISH = """\
function __rlcont_candidates
    set -l words (commandline -opc)
    $words[1] --candidates $words[2..-1] (commandline -ct) 2>/dev/null
end
complete --command rlcont --no-files --arguments '(__rlcont_candidates)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def script(words: list[str]) -> str:
    """The completion script of a shell.

    Raises:
        UserError: `words` is not the name of one shell.
    """
    name = " ".join(words)
    if name not in SCRIPTS:
        raise UserError(f"--completion {name}: allowed: {', '.join(SCRIPTS)}{nearest(name, SCRIPTS)}")
    return SCRIPTS[name]


def candidates(words: list[str]) -> list[str]:
    """All that the last of `words` may become."""
    *before, word = words or [""]
    if before[:1] == ["--completion"]:
        found = list(SCRIPTS)
    elif before[:1] == ["eval"]:
        found = _eval_candidates(before, word)
    elif before[:1] == ["resume"]:
        found = [*_runs(word), *(f"{key}=" for key in CHANGEABLE)]
    elif before[:1] == ["runs"]:
        found = []
    elif before[:1] == ["export"]:
        found = [word for word in _eval_candidates(before, word) if word.startswith(("policy", "outputs"))] + ["to="]
    elif before[:1] == ["compare"]:
        found = [*_runs(word), "to=", "threshold="]
    else:
        found = _train_candidates(before, word)
    return sorted({candidate for candidate in found if candidate.startswith(word)})


def _train_candidates(before: list[str], word: str) -> list[str]:
    key, is_value, typed = word.partition("=")
    fields = _fields(before)
    if is_value:
        # Of a sweep's list, only the last value is still open.
        done = f"{key}={typed[: typed.rfind(',') + 1]}"
        return [done + value for value in _values(key, fields)]
    if word.startswith("-"):
        return list(FLAGS)
    keys = [f"{group}=" for group in GROUPS] + [f"{field.key}=" for field in fields if field.key != "env.kwargs"]
    # Keys grow by one part at a time, as paths do.
    opened = [key[: key.find(".", len(word)) + 1] or key for key in keys if key.startswith(word)]
    return [*opened, *(COMMANDS if not before else ())]


def _fields(before: list[str]) -> list[Field]:
    """The fields that count with what was chosen so far."""
    chosen = {key: value for key, _, value in (word.partition("=") for word in before)}
    choices = {
        group: chosen[group] if chosen.get(group) in options(group) else default_option(group)
        for group in ("algo", *KINDS)
    }
    own = [field for group in KINDS for field in option_fields(group, choices[group]) if field.key != f"{group}.kind"]
    return [*general_fields(), *sweep_fields(), *search_fields(), *algorithm_fields(choices["algo"]), *own]


def _values(key: str, fields: list[Field]) -> list[str]:
    if key in GROUPS:
        return options(key)
    return next((field.choices for field in fields if field.key == key), [])


def _eval_candidates(before: list[str], word: str) -> list[str]:
    if word.startswith("checkpoint="):
        kept = [path.stem for folder in before[1:] for path in Path(folder).glob("policies/*.safetensors")]
        return [f"checkpoint={name}" for name in kept or ("last", "best")]
    return [*_runs(word), "episodes=", "checkpoint=", "seed=", "video=true", "render=true"]


def _runs(word: str) -> list[str]:
    # A run lies three folders below the one that all are made in.
    base = word.rpartition("/")[0] or "outputs"
    patterns = ["*/" * depth + "config.yaml" for depth in range(4)]
    return [str(path.parent) for pattern in patterns for path in Path(base).glob(pattern)]

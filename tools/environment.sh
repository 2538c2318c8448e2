#!/bin/sh
# Make the book's own environment, or say in one line why that is not possible.
#
#     tools/environment.sh            makes or renews $VENV (default .venv) from requirements.txt
#
# The environment is made anew when requirements.txt, the Python or TORCH changed, when the folder moved, and when an
# earlier install did not finish: the stamp that says "ready" is written last. A changed pyproject.toml only installs the
# book's own package again.
#
# Settings, all optional:
#   PYTHON        the interpreter to use, else the first that fits of python3.13 python3.12 python3.11 python3 python
#   TORCH=cpu     on Linux, take torch's CPU wheel (small), not the one for NVIDIA GPUs; TORCH=default goes back
#                 (an environment once made remembers both, so they need not be repeated)
#   VENV          where the environment lies
#   MIN_FREE_MB   refuse to start an install with less free disk than this
set -u
cd "$(dirname "$0")/.." || exit 1

VENV=${VENV:-.venv}
TORCH=${TORCH:-}
LOG=${VENV}-install.log

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# ---- Python ----

version_of() { # prints "3.12", or nothing if it does not run (a version manager's empty shim, say)
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

recent_enough() { # 3.11 and later, or 4 and later
    major=${1%%.*}
    minor=${1#*.}
    [ "$major" -gt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -ge 11 ]; }
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        version=$(version_of "$PYTHON")
        [ -n "$version" ] || fail "Python not found: PYTHON=$PYTHON does not run. Name an interpreter of version 3.11 or later: make PYTHON=/path/to/python3."
        recent_enough "$version" || fail "Python too old: PYTHON=$PYTHON is version $version and the book needs 3.11 or later. Name another: make PYTHON=/path/to/python3."
        return
    fi
    seen=
    for PYTHON in python3.13 python3.12 python3.11 python3 python; do
        version=$(version_of "$PYTHON")
        [ -n "$version" ] || continue
        recent_enough "$version" && return
        seen="$seen $PYTHON is $version,"
    done
    [ -z "$seen" ] || fail "Python too old:$seen and the book needs 3.11 or later. Install one from https://www.python.org/downloads/, or name it: make PYTHON=/path/to/python3."
    fail "Python not found: the book needs version 3.11 or later. Install one from https://www.python.org/downloads/, or name it: make PYTHON=/path/to/python3."
}

# ---- is the environment there already? ----

if [ -f "$VENV/.ready" ]; then # its lines: digest, Python, torch
    TORCH=${TORCH:-$(sed -n 3p "$VENV/.ready")}
    before=$(sed -n 2p "$VENV/.ready")
    [ -n "${PYTHON:-}" ] || [ -z "$(version_of "$before")" ] || PYTHON=$before
fi
TORCH=${TORCH:-default}
case $TORCH in
    default | cpu) ;;
    *) fail "TORCH=$TORCH is not known: use TORCH=cpu for the small CPU build on Linux, or TORCH=default." ;;
esac
find_python

digest_of() { # of a file and of further words
    "$PYTHON" -c 'import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read() + "\0".join([sys.version, *sys.argv[2:]]).encode()).hexdigest())' "$@" 2>/dev/null
}

wanted=$(digest_of requirements.txt "$PWD/$VENV" "$TORCH")
package=$(digest_of pyproject.toml "$(cat nbhelpers/core/identity.py 2>/dev/null)") # which holds the version
[ -n "$wanted" ] && [ -n "$package" ] || fail "requirements.txt or pyproject.toml cannot be read. Restore them: git checkout requirements.txt pyproject.toml."

why() { # the reason that the log gives, as one line
    if grep -qiE 'no space left|disk quota' "$LOG"; then
        fail "Not enough disk: the install stopped half way. Free some and run make again; it starts over. Log: $LOG."
    elif grep -qiE 'connection|temporary failure|name resolution|timed out|unreachable|getaddrinfo|proxyerror|sslerror|from versions: none|dns error|error sending request' "$LOG"; then
        fail "No network: the packages could not be fetched. Check the connection (and proxy settings) and run make again. Log: $LOG."
    fi
    fail "The packages could not be installed. The end of the log says why: $LOG."
}

install_package() { # the build tool comes from requirements.txt too, so this fetches nothing
    "$VENV/bin/python" -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e . >>"$LOG" 2>&1 || why
    echo "$package" >"$VENV/.package"
}

if [ "$(sed -n 1p "$VENV/.ready" 2>/dev/null)" = "$wanted" ] && "$VENV/bin/python" -c '' 2>/dev/null; then
    [ "$(cat "$VENV/.package" 2>/dev/null)" = "$package" ] || install_package
    exit 0
fi

# ---- make it ----

# venv --clear would follow a link and empty what it points to, which may serve another clone.
[ ! -L "$VENV" ] || fail "$VENV is a link, and to renew it would empty the folder that it points to. Remove the link (rm $VENV) and run make again, or name another place: make VENV=/path/to/folder."

if [ -z "${MIN_FREE_MB:-}" ]; then
    MIN_FREE_MB=3000 # with the CPU build of torch
    # The usual torch for Linux brings NVIDIA's libraries along, on every machine.
    [ "$(uname -s)" = Linux ] && [ "$TORCH" != cpu ] && MIN_FREE_MB=8000
fi
free_mb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
[ "$free_mb" -ge "$MIN_FREE_MB" ] || fail "Not enough disk: the environment needs $MIN_FREE_MB MB and $(pwd) has $free_mb MB free. Free some, or clone the book onto a larger disk."

"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || fail "Python's venv module is missing from $PYTHON ($version). On Debian and Ubuntu: sudo apt-get install python$version-venv. Then run make again."

echo "Making $VENV with Python $version from requirements.txt (a few minutes the first time; log: $LOG)."
rm -f "$VENV/.ready"
"$PYTHON" -m venv --clear "$VENV" >"$LOG" 2>&1 || fail "The environment could not be made in $VENV. The log says why: $LOG."

if [ "$TORCH" = cpu ]; then
    # uv knows where each build of torch lies, so no address needs to stand here. It stays outside the environment.
    tool=$(mktemp -d) || fail "No temporary folder could be made. Set TMPDIR to a folder that can be written to."
    trap 'rm -rf "$tool"' EXIT
    "$VENV/bin/python" -m pip install --disable-pip-version-check --target "$tool" 'uv==0.13.9' >>"$LOG" 2>&1 || why
    "$tool/bin/uv" pip install --python "$VENV/bin/python" --torch-backend cpu -r requirements.txt >>"$LOG" 2>&1 || why
else
    "$VENV/bin/python" -m pip install --disable-pip-version-check -r requirements.txt >>"$LOG" 2>&1 || why
fi
install_package
printf '%s\n' "$wanted" "$(command -v "$PYTHON")" "$TORCH" >"$VENV/.ready"
echo "The environment is ready."

#!/bin/sh
# Refuse a wrong setting in one line, before anything slow starts.
#
#     tools/preflight.sh preset           is NBHELPERS_PRESET one that the book knows?
#     tools/preflight.sh chapter NAME     is there such a chapter?
set -u
cd "$(dirname "$0")/.." || exit 1

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

case $1 in
    preset)
        case ${NBHELPERS_PRESET:-quick} in
            quick | full) ;;
            *) fail "NBHELPERS_PRESET=$NBHELPERS_PRESET is not known: use quick (small sizes, the default) or full." ;;
        esac
        ;;
    chapter)
        names=$(cd chapters 2>/dev/null && ls -- *.ipynb solutions/*.ipynb 2>/dev/null | sed 's/\.ipynb$//' | tr '\n' ' ')
        [ -n "${2:-}" ] || fail "Which chapter? Use make chapter NAME=... with one of: $names"
        [ -f "chapters/$2.ipynb" ] || fail "There is no chapter $2. Use make chapter NAME=... with one of: $names"
        ;;
    *) fail "tools/preflight.sh: unknown check $1." ;;
esac

#!/bin/sh
# Makes .venv/ with all that the requirement files pin, and with Baton itself (editable).
#
# `make install` calls this at the top of the checkout: install.sh STAMP [PYTHON]. It reads nothing
# and speaks on standard error only, so that a pipe into or out of `make run` stays clean.
set -eu
exec </dev/null >&2

stamp=$1
asked_for=${2:-}
here=$(pwd -P) # as make knows it

works() { "$1" -c "$2" 2>/dev/null; }
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
whole='import ctypes, ensurepip, sqlite3, ssl, venv'

# The first that is new enough and whole. A name on the PATH may be a mere stub, so each is tried.
python=
incomplete=
if [ -n "$asked_for" ]; then
    set -- "$asked_for"
else
    set -- python3.13 python3.12 python3.11 python3
fi
for candidate; do
    works "$candidate" "$new_enough" || continue
    if works "$candidate" "$whole"; then
        python=$candidate
        break
    fi
    incomplete=${incomplete:-$candidate}
done

if [ -z "$python" ] && [ -n "$incomplete" ]; then
    echo "Baton needs a whole Python, and $incomplete lacks a part (venv, ssl, sqlite3 or ctypes)."
    echo "On Debian and Ubuntu: apt-get install python3-venv. Then again: make install"
    exit 1
elif [ -z "$python" ]; then
    found=$("${asked_for:-python3}" --version 2>/dev/null) || found="no ${asked_for:-python3} that works"
    echo "Baton needs Python 3.11 or later; here is $found."
    echo "Install a newer one, or say where it is: make install PYTHON=/path/to/python3.12"
    exit 1
fi

# .venv/ is used again only if an earlier install in this very place was finished.
if [ ! -x .venv/bin/python ] || [ "$(cat "$stamp" 2>/dev/null)" != "$here" ]; then
    echo "Making .venv/ with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
rm -f "$stamp"

# One short line for each package that pip has to get; false if pip failed.
show_progress() {
    while read -r word name _; do
        case $word in
            Collecting | Processing) echo "  ${name##*/}" ;;
            Installing) echo "  ... all there, unpacking" ;;
            FAILED) return 1 ;;
        esac
    done
}

failed() {
    echo "Baton is not installed; the lines above say why. Once that is mended: make install"
    exit 1
}

export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
echo "Installing what requirements/ pins; the first time this takes a minute or two"
{
    .venv/bin/python -m pip install --no-input --require-hashes \
        -r requirements/run.txt -r requirements/test.txt || echo FAILED
} | show_progress || failed
.venv/bin/python -m pip install --no-input --quiet --no-deps --no-build-isolation --editable . ||
    failed

echo "$here" >"$stamp"
echo "Installed: .venv/bin/baton"

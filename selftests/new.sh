#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: new.sh RING/NAME
#
# Makes a new test from a template. The template's comments are the manual;
# `make check` fails as long as one of its TODO marks is left.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
case ${1:-} in
unit/*) echo "new.sh: a unit test is a C file: start from one of those in unit/" >&2; exit 2 ;;
*/*) ;;
*) echo "new.sh: give the ring and the behaviour, such as dev/read-past-end" >&2; exit 2 ;;
esac
file=$here/${1%.sh}.sh
[ ! -e "$file" ] || { echo "new.sh: $file is there already: choose another name" >&2; exit 1; }
mkdir -p "$(dirname "$file")"
cat >"$file" <<'END'
#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will TODO: complete the sentence; one behaviour a test.

. "$(dirname "$0")/../lib/test.sh"

# TODO: say what must be there; what is missing skips the test, with a reason
requires_program fio
requires_module

# TODO: register the cleanup of a thing before making it (cleanup_fn CMD...),
# wait for states and never for time (wait_until), and claim what must hold:
# a command that fails fails the test. For several claims see lib/ktap.sh.
# The runner looks at the kernel log and unloads the module after the test.
END
chmod +x "$file"
echo "$file"

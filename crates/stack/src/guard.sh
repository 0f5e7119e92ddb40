# Runs one server and makes sure it never outlives the process that asked for it.
# Arguments: KIND DIRECTORY GRACE_SECONDS PROGRAM [ARGUMENT…]; KIND is `keep` or `discard`.
#
# stdin is a pipe whose other end is held by our parent alone (close-on-exec, never written to), so
# its end means that the parent is gone, whatever killed it. PR_SET_PDEATHSIG is no substitute: it
# fires when the parent *thread* ends, and test harnesses end threads all the time.
#
# stdout carries one line, the server's pid. Everything the server says goes to stderr.
kind=$1 directory=$2 grace=$3
shift 3

exec 3<&0
"$@" </dev/null 3<&- >&2 &
server=$!
echo "$server"
exec >&2

orphaned=
trap 'orphaned=1' USR1
# From here on only the server's end ends us. The server itself was started before this line and
# keeps its own idea of signals.
# PIPE too: stderr has no reader any more when the parent is gone, and the shell says "Killed" there.
trap '' INT HUP TERM PIPE

(
    read -r _ <&3
    # First tell the main shell, then strike: when `wait` returns for the dead server below,
    # `orphaned` is already set.
    kill -USR1 $$
    if [ "$kind" = keep ]; then
        kill -TERM "$server"
        tenths=0
        while kill -0 "$server" 2>/dev/null && [ "$tenths" -lt "${grace}0" ]; do
            sleep 0.1
            tenths=$((tenths + 1))
        done
    fi
    kill -KILL "$server" 2>/dev/null
) 2>/dev/null &
watcher=$!

wait "$server"
code=$?
# A trapped signal ends `wait` early, with the server possibly still running.
[ -n "$orphaned" ] && wait "$server"
kill -KILL "$watcher" 2>/dev/null

if [ -n "$orphaned" ] && [ "$kind" = discard ]; then
    rm -rf -- "$directory"
    # The last server of the stack succeeds in removing the common parent.
    rmdir -- "$(dirname -- "$directory")" 2>/dev/null
fi
exit "$code"

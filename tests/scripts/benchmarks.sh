#!/bin/sh
# limit: 600 s
# without: thread address
# Each benchmark runs in small: every question gets an answer, the right one, in the line of JSON that the plots read.
# Planted: a program that gives a wrong answer, one that gives none and one that fails must each fail the run.
set -eu
bench() { python3 -B "$EDDY_ROOT/bench/run.py" --small --peers none --work "$EDDY_TMP/peers" "$@"; }

bench --bin "$EDDY_BUILD_DIR" --json "$EDDY_TMP/cells" > "$EDDY_TMP/figures" 2> "$EDDY_TMP/progress" ||
    { cat "$EDDY_TMP/figures" "$EDDY_TMP/progress"; exit 1; }
bench --bin "$EDDY_BUILD_DIR" --grow --only alive,fork_join,echo > "$EDDY_TMP/grown" 2>&1 || { cat "$EDDY_TMP/grown"; exit 1; }
bench --list > "$EDDY_TMP/questions"
[ "$(wc -l < "$EDDY_TMP/questions")" -ge 20 ] || { echo "few questions"; cat "$EDDY_TMP/questions"; exit 1; }
while read -r question _; do
    grep -Eq "\"question\": \"$question[\".]" "$EDDY_TMP/cells" && continue
    tool=$(sed -n "s/^absent: $question (it needs \(.*\), which.*/\1/p" "$EDDY_TMP/figures") # strace, valgrind
    if [ -z "$tool" ] || command -v "$tool" >/dev/null; then echo "no figure for $question"; exit 1; fi
done < "$EDDY_TMP/questions"
for source in "$EDDY_ROOT"/bench/*.c; do # no program that nobody asks
    name=$(basename "$source" .c)
    grep -Eq "(program=|Question\()\"$name\"" "$EDDY_ROOT/bench/questions.py" || { echo "$name is not asked"; exit 1; }
done
python3 - "$EDDY_TMP/cells" <<'END'
import json, sys
for line in map(json.loads, open(sys.argv[1])):
    for field in "question runtime version workers unit median min max repetitions checksum".split():
        assert field in line, (field, line)
    assert line["min"] <= line["median"] <= line["max"] and line["repetitions"] >= 2, line
END

# Where a program's instructions are: of what it asks for, something.
if command -v valgrind >/dev/null && command -v addr2line >/dev/null; then
    python3 -B "$EDDY_ROOT/bench/instructions.py" -- "$EDDY_BUILD_DIR/bench-yield" --size 1000 > "$EDDY_TMP/places"
    grep -Eq "^ +[0-9.]+ eddy_yield src/task/wait.c$" "$EDDY_TMP/places" || { cat "$EDDY_TMP/places"; exit 1; }
fi

mkdir "$EDDY_TMP/planted"
planted() { # words the program's body the message
    printf '#!/bin/sh\n%s\n' "$2" > "$EDDY_TMP/planted/bench-fork_join"
    chmod +x "$EDDY_TMP/planted/bench-fork_join"
    if bench --bin "$EDDY_TMP/planted" --only fork_join > "$EDDY_TMP/output" 2>&1; then
        echo "$1 was not found"; cat "$EDDY_TMP/output"; exit 1
    fi
    grep -q "$3" "$EDDY_TMP/output" || { echo "$1: no word of it"; cat "$EDDY_TMP/output"; exit 1; }
}
line='{"repetition": 1, "cell": "", "checksum": CHECKSUM, "resident_bytes": 1, "operations": 1, "wall_ns": 1, "cpu_ns": 1}'
right=610 # fib(15)
planted "a wrong answer" "echo '$line' | sed s/CHECKSUM/611/" "wrong answer 611"
planted "a missing answer" ":" "no answer"
planted "a program that fails" "exit 3" "ended with 3"
printf "#!/bin/sh\necho '%s' | sed s/CHECKSUM/$right/\n" "$line" > "$EDDY_TMP/planted/bench-fork_join"
bench --bin "$EDDY_TMP/planted" --only fork_join > "$EDDY_TMP/output" 2>&1 || { cat "$EDDY_TMP/output"; exit 1; }

# The guard: a run is compared with itself recorded, with up to 10 % of noise, then with a planted slowdown of a half.
paced() { # the time of one call in ns
    cat > "$EDDY_TMP/planted/bench-fork_join" <<END
#!/bin/sh
noise=\$(od -An -N1 -tu1 /dev/urandom)
time=\$(($1 * 1000 + $1 * noise * 100 / 255))
echo '$line' | sed "s/CHECKSUM/$right/; s/\"operations\": 1/\"operations\": 1000/; s/_ns\": 1/_ns\": \$time/g"
END
}
paced 100
bench --bin "$EDDY_TMP/planted" --only fork_join --pairs 12 --json "$EDDY_TMP/recorded" > "$EDDY_TMP/output" 2>&1
bench --bin "$EDDY_TMP/planted" --only fork_join --pairs 12 --compare "$EDDY_TMP/recorded" > "$EDDY_TMP/output" 2>&1 ||
    { echo "the guard calls an equal build slower"; cat "$EDDY_TMP/output"; exit 1; }
grep -q "same or faster *fork_join" "$EDDY_TMP/output" || { echo "nothing was compared"; cat "$EDDY_TMP/output"; exit 1; }
paced 150
if bench --bin "$EDDY_TMP/planted" --only fork_join --pairs 12 --compare "$EDDY_TMP/recorded" > "$EDDY_TMP/output" 2>&1; then
    echo "the guard does not see a planted slowdown"; cat "$EDDY_TMP/output"; exit 1
fi
grep -q "slower *fork_join" "$EDDY_TMP/output" || { echo "the guard: no word of it"; cat "$EDDY_TMP/output"; exit 1; }

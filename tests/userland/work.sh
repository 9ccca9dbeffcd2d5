#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Runs programs whose output is the same on every machine; prints "NAME CHECKSUM" for each. Fails if one of them does. Takes
# a few seconds on a bare CPU.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
umask 022
work=$(mktemp -d)
chmod 755 "$work"
cd "$work" || exit 1
failed=0

run()
{
	name=$1
	shift
	"$@" >out 2>&1 </dev/null
	status=$?
	echo "$name $(md5sum <out | cut -c 1-16)"
	[ $status -eq 0 ] || {
		sed "s/^/$name failed ($status): /" out | tail -n 3
		failed=1
	}
}

compile()
{
	for n in 1 2 3 4; do
		sed "s/main/main$n/" /work/work.c >"part$n.c" || return
		objects="$objects part$n.o"
	done
	printf '%%.o: %%.c\n\tgcc -O2 -Wno-implicit-int -c -o $@ $<\nall: %s\n' "$objects" >Makefile
	make -s -j2 all && cat part?.o
	gcc -O3 -S -o - /work/work.c
}

compiled()
{
	gcc -O2 -o work /work/work.c -lm && ./work
	gcc -O0 -fsanitize=undefined -o work0 /work/work.c -lm && ./work0
}

compressed()
{
	gzip -n9c numbers && bzip2 -c numbers && xz -c -3 numbers && xz -c -T2 --block-size=256KiB -1 numbers &&
		zstd -q -12 -c numbers && zstd -q -T2 -3 -c numbers
}

unpacked()
{
	for packer in gzip bzip2 xz zstd; do
		$packer -c numbers | $packer -dc | md5sum
	done
}

crypto()
{
	for digest in md5 sha1 sha256 sha512 sha3-256 blake2b512; do
		openssl dgst "-$digest" numbers || return
	done
	for cipher in aes-128-cbc aes-256-ctr chacha20 camellia-128-cbc; do
		openssl enc "-$cipher" -K 00112233445566778899aabbccddeeff -iv 000102030405060708090a0b0c0d0e0f -in numbers 2>/dev/null |
			openssl md5 || return
	done
	openssl prime -generate -bits 64 >/dev/null && openssl prime 170141183460469231731687303715884105727
}

text()
{
	gawk '{ a[$1 % 977] += sqrt($1); s = s + sin($1) } END { for (i = 0; i < 977; i++) t += a[i]; printf "%.6f %.9f\n", t, s }' numbers
	grep -cP '(\d)\1.*(\d)\2' numbers
	grep -E '^(1|22)*3+$' numbers | md5sum
	sort -R --random-source=/work/work.c numbers | sort --parallel=2 -S 1M -n | md5sum
	sed -e 's/\([0-9]\)\([0-9]\)/\2\1/g' -e '/77/d' numbers | tr 0-9 a-j | uniq -c | md5sum
	echo 'scale=200; a(1)*4; e(1)' | bc -l
}

processes()
{
	i=0
	while [ "$i" -lt 200 ]; do
		i=$((i + 1))
		echo "$i" | sed s/1/2/ | cat
	done
}

postgres()
{
	bin=$(echo /usr/lib/postgresql/*/bin)
	mkdir pg && chown postgres pg && chmod 711 .
	sub()
	{
		setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
	}
	if ! sub "$bin/initdb" -D pg/data >pg.log 2>&1 ||
		! sub "$bin/pg_ctl" -D pg/data -o "-k $work/pg -h ''" -l pg/log -w -t 600 start >>pg.log 2>&1; then
		cat pg.log
		return 1
	fi
	sub psql -h "$work/pg" -qAt -f /work/work.sql postgres
	sub "$bin/pg_ctl" -D pg/data -m fast -t 600 stop >/dev/null 2>&1
}

ocaml_compiled()
{
	cp /work/work.ml . && ocamlopt -o work_ml work.ml && ./work_ml
}

seq 1 200000 >numbers
run python python3 /work/work.py
run node node /work/work.js
run luajit luajit /work/work.lua
run perl perl /work/work.pl
run gcc compile
run compiled compiled
run compressed compressed
run unpacked unpacked
run crypto crypto
run text text
run sqlite sqlite3 :memory: '.read /work/work.sqlite'
run processes processes
run postgres postgres
# In the larger userland (run.sh, USERLAND_MORE).
have()
{
	command -v "$1" >/dev/null
}
! have java || run java java /work/work.java
! have go || run go go run /work/work.go
! have escript || run erlang escript /work/work.escript
! have sbcl || run sbcl sbcl --script /work/work.lisp
! have pypy3 || run pypy pypy3 /work/work.py
! have ocamlopt || run ocaml ocaml_compiled
! have tcc || run tcc tcc -run /work/work.c
cd /
rm -rf "$work"
exit $failed

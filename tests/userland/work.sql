-- SPDX-License-Identifier: MIT OR GPL-2.0-only
-- PostgreSQL: tables, indexes, sorting, joins, two connections' worth of workers.
create table t as select i, md5(i::text) m, (i * 7919 % 10007)::numeric / 7 as v from generate_series(1, 40000) i;
create index on t(m);
analyze t;
select count(*), min(m), sum(length(m)), sum(v) from t where m > '8';
select substr(m, 1, 1) s, count(*), round(avg(v), 6) from t group by s order by s;
select sum(a.i * b.i % 1000003) from t a join t b on substr(a.m, 1, 4) = substr(b.m, 5, 4);
update t set v = v + 1 where i % 3 = 0;
delete from t where i % 5 = 0;
select count(*), sum(v) from t;
select string_agg(m, ',' order by m) from (select m from t order by md5(m) limit 20) q;

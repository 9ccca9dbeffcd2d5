%% SPDX-License-Identifier: MIT OR GPL-2.0-only
%% Erlang's JIT: processes, messages, big numbers, binaries.
-mode(compile).

main(_) ->
	Self = self(),
	[spawn(fun() -> Self ! {N, work(N, 0, 20000)} end) || N <- lists:seq(1, 50)],
	Sums = lists:sort([receive M -> M end || _ <- lists:seq(1, 50)]),
	io:format("~p~n~p~n~p~n", [erlang:phash2(Sums), fact(300), erlang:md5(term_to_binary(Sums, [{minor_version, 1}]))]).

work(_, Sum, 0) -> Sum;
work(N, Sum, K) -> work(N, (Sum * 31 + N * K) rem 1000003, K - 1).

fact(0) -> 1;
fact(N) -> N * fact(N - 1).

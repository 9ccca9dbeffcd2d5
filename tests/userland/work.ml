(* SPDX-License-Identifier: MIT OR GPL-2.0-only *)
(* OCaml, native code: closures, trees, exceptions, floats; its collector scans the stack by tables. *)
module M = Map.Make (Int)
exception Found of int

let rec ack m n = if m = 0 then n + 1 else if n = 0 then ack (m - 1) 1 else ack (m - 1) (ack m (n - 1))

let () =
  let m = ref M.empty in
  for n = 0 to 200000 do
    m := M.update (n * n mod 10007) (function None -> Some 1 | Some v -> Some (v + n)) !m
  done;
  let f = Array.init 100000 (fun n -> sin (float n)) in
  let found = ref 0 in
  for n = 0 to 10000 do
    try Array.iteri (fun k x -> if x > 0.9 && k > n then raise (Found k)) f with Found k -> found := !found + k
  done;
  Printf.printf "%d %d %.12f %d\n" (ack 2 2000) (M.fold (fun k v s -> (k * v + s) mod 1000003) !m 0)
    (Array.fold_left ( +. ) 0. f) !found

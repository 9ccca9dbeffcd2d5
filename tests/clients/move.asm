; SPDX-License-Identifier: MIT OR GPL-2.0-only
;
; A firmware of 64 KiB that checks itself, for moves between two KVMs, one of which may be too weak for a stock guest: it fills
; 64 KiB of memory with a sequence, and then sums them over and over, in 16-bit code of the 8086 and 386. It prints a letter per round on the first serial port ('a', 'b', ... 't'), then
; "pass"; "FAIL" if a sum differs. It ends by isa-debug-exit at port 0x501 (pass: exit status 1 of QEMU, fail: 3).

ROUNDS	equ 20
PASSES	equ 5			; sums per round
SECONDS	equ 8			; of the real-time clock that the fifth round takes, however fast the machine is: time to move it

	bits 16
	org 0
start:	cli
	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, 0x7c00
	mov ax, 0x2000
	mov es, ax
	cld
	mov eax, 0x12345678
	xor di, di
fill:	imul eax, eax, 1664525
	add eax, 1013904223
	mov [es:di], eax
	add di, 4
	jnz fill
	call sum
	mov [want], ebx
	mov byte [round], 'a'
again:	mov al, [round]
	call put
	mov cx, PASSES
.pass:	push cx
	call sum
	pop cx
	cmp ebx, [want]
	jne fail
	loop .pass
	cmp byte [round], 'e'
	jne .next
	mov byte [ticks], SECONDS
.wait:	call sum
	cmp ebx, [want]
	jne fail
	xor al, al
	out 0x70, al
	in al, 0x71
	cmp al, [last]
	je .wait
	mov [last], al
	dec byte [ticks]
	jnz .wait
.next:	inc byte [round]
	cmp byte [round], 'a' + ROUNDS
	jne again
	mov si, passed
	xor bl, bl
	jmp finish
fail:	mov si, failed
	mov bl, 1
finish:	cs lodsb
	test al, al
	jz .end
	call put
	jmp finish
.end:	mov al, bl
	mov dx, 0x501
	out dx, al
	hlt
	jmp .end

; ebx: the sum of all words, each rotated in.
sum:	xor ebx, ebx
	xor di, di
.next:	rol ebx, 3
	add ebx, [es:di]
	add di, 4
	jnz .next
	ret

put:	mov dx, 0x3f8
	out dx, al
	ret

passed	db 10, "pass", 10, 0
failed	db 10, "FAIL", 10, 0

	times 0xfff0 - ($ - $$) db 0xff
	jmp 0xf000:start		; the reset vector
	times 0x10000 - ($ - $$) db 0xff

want	equ 0x7e00			; in RAM
round	equ 0x7e04
last	equ 0x7e05
ticks	equ 0x7e06

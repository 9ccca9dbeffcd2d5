; SPDX-License-Identifier: MIT OR GPL-2.0-only
;
; A boot sector that fills the screen: text in all colours, then, at a key, 320 by 200 pixels of 256 colours. It prints a letter on
; the first serial port when a picture stands ('t', 'g'), and powers nothing off.

	bits 16
	org 0x7c00
start:	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, 0x7c00
	cld
	mov ax, 3
	int 0x10
	mov ah, 1		; no cursor: it blinks
	mov cx, 0x2000
	int 0x10
	mov ax, 0xb800
	mov es, ax
	xor di, di
	mov ax, 0x0120
text:	stosw			; a character and its colours
	inc al
	add ah, 3
	and ah, 0x7f		; nothing that blinks
	cmp di, 80 * 25 * 2
	jb text
	mov al, 't'
	call put
	xor ax, ax
	int 0x16
	mov ax, 0x13
	int 0x10
	mov ax, 0xa000
	mov es, ax
	xor di, di
pixel:	mov ax, di
	xor al, ah
	stosb
	cmp di, 320 * 200
	jb pixel
	mov al, 'g'
	call put
	cli
	hlt

put:	mov dx, 0x3fd
.wait:	mov bl, al
	in al, dx
	test al, 0x20
	mov al, bl
	jz .wait
	mov dx, 0x3f8
	out dx, al
	mov al, 10
	out dx, al
	ret

	times 510 - ($ - $$) db 0
	dw 0xaa55

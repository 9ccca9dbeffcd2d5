# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Hashes, strings, regular expressions, sorting.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);

my (%h, @list);
$h{ $_ % 977 } .= chr(65 + $_ % 26) for 1 .. 150000;
my $sum = 0;
for my $key (sort keys %h) {
	$sum += length $h{$key};
	$sum += () = $h{$key} =~ /AB|Z(?=[A-F])|(.)\1/g;
	push @list, scalar reverse $h{$key};
}
print "$sum ", sha256_hex(join ' ', sort { $a cmp $b or length $a <=> length $b } @list), "\n";
my $text = join ' ', map { sprintf '%x-%.7e', $_ * 2654435761 % 4294967296, sqrt($_) / 3 } 1 .. 20000;
$text =~ s/([0-9a-f])-(\d)/$2$1/g;
$text =~ tr/a-f/A-F/;
print sha256_hex($text), ' ', unpack('%32C*', $text), "\n";

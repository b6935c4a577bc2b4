package Forbidden;    # -MForbidden: the kernel refuses io_uring to this process and its children, as containers do
use strict;
use warnings;
use Errno 'EPERM';
use POSIX ();

# prctl(2), seccomp(2). io_uring_setup has the same number everywhere; that of prctl depends on the machine.
my %prctl = (x86_64 => 157, aarch64 => 167, riscv64 => 167, ppc64le => 171, s390x => 172);
my ($machine) = (POSIX::uname())[4];
my $prctl = $prctl{$machine} // die "Forbidden: which number prctl(2) has on $machine is not known\n";
use constant {io_uring_setup => 425, PR_SET_NO_NEW_PRIVS => 38, PR_SET_SECCOMP => 22, SECCOMP_MODE_FILTER => 2};
my $filter = pack '(S C C L)4', 0x20, 0, 0, 0,    # the number of the system call
    0x15, 0, 1, io_uring_setup, 0x06, 0, 0, 0x50000 | EPERM, 0x06, 0, 0, 0x7fff0000;
my $program = pack 'S x![P] P', 4, $filter;
syscall($prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 or die "no_new_privs: $!\n";
syscall($prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, $program) == 0 or die "seccomp: $!\n";
my $parameters = "\0" x 120;
syscall(io_uring_setup, 1, $parameters) == -1 && $!{EPERM} or die "io_uring is not refused\n";

1;

# SPDX-License-Identifier: GPL-2.0-or-later
#
# The verbs of r3map; `make help` lists them. The module itself is described
# by Kbuild and kmod/Kbuild, the program by user/Makefile, the tests by
# selftests/. The kernel's build system reads Kbuild and never this file;
# should it ever do so, the guard below keeps it from finding any verb.

ifeq ($(KERNELRELEASE),)

# the one place where the version is written (dkms.conf reads it here)
VERSION := 0.2.0

KDIR    ?= /lib/modules/$(shell uname -r)/build
PREFIX  ?= /usr/local
DESTDIR ?=
KERNEL  ?= 6.12
INSTALL ?= install
DKMS    ?= dkms
# where dkms looks for sources, and for which kernel it is to build
DKMS_SOURCE ?= /usr/src
DKMS_KERNEL ?=

BINDIR  := $(DESTDIR)$(PREFIX)/bin
MANDIR  := $(DESTDIR)$(PREFIX)/share/man
COMPDIR := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
INCDIR  := $(DESTDIR)$(PREFIX)/include
LIBDIR  := $(DESTDIR)$(PREFIX)/lib
EXDIR   := $(DESTDIR)$(PREFIX)/share/doc/libr3map/examples
EXAMPLE := $(wildcard user/libr3map/examples/*.c)
MAN     := $(wildcard Documentation/man/*.[1-8])
NO_KDIR := no kernel headers in $(KDIR): install linux-headers-$(shell uname -r), or give KDIR=
# root gets those of the running kernel where Debian has them; whoever gives KDIR= has his own
HEADERS := $(if $(filter file,$(origin KDIR)),[ -e '$(KDIR)/Makefile' ] || selftests/vm/packages.sh headers,:)

.DEFAULT_GOAL := all
.PHONY: all module user check demo bench vm-shell install uninstall \
	dkms-install style clean help

all: user
	@$(HEADERS)
	@if [ -e '$(KDIR)/Makefile' ]; then $(MAKE) --no-print-directory module; \
	else echo 'The program is built, the module is not: $(NO_KDIR).'; fi

module:
	@$(HEADERS)
	@[ -e '$(KDIR)/Makefile' ] || { echo 'make module: $(NO_KDIR).' >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) W=1 $(if $(WERROR),KCFLAGS=-Werror) modules

user:
	@selftests/vm/packages.sh build
	@$(MAKE) --no-print-directory -C user

# KERNELS="6.1 6.12:2 7.2" CPUS="1 2" TESTS="dev/resize.sh ..." V=1
check:
	@selftests/check.sh

demo:
	@selftests/vm/demo.sh

bench:
	@bench/run.sh $(if $(QUESTIONS),--questions $(QUESTIONS))

vm-shell:
	@selftests/vm/shell.sh $(KERNEL)

install: user
	$(INSTALL) -D -m 755 user/r3map $(BINDIR)/r3map
	$(INSTALL) -D -m 644 uapi/linux/r3map.h $(INCDIR)/linux/r3map.h
	$(INSTALL) -D -m 644 user/libr3map/r3map.h $(INCDIR)/r3map.h
	$(INSTALL) -D -m 644 user/build/libr3map.so.0 $(LIBDIR)/libr3map.so.0
	$(INSTALL) -D -m 644 user/build/libr3map.a $(LIBDIR)/libr3map.a
	ln -sf libr3map.so.0 $(LIBDIR)/libr3map.so
	$(INSTALL) -d $(LIBDIR)/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' user/libr3map/libr3map.pc.in \
		> $(LIBDIR)/pkgconfig/libr3map.pc
	@for e in $(EXAMPLE); do $(INSTALL) -v -D -m 644 $$e $(EXDIR)/$${e##*/} || exit 1; done
	@for m in $(MAN); do $(INSTALL) -v -D -m 644 $$m \
		$(MANDIR)/man$${m##*.}/$${m##*/} || exit 1; done
	@[ ! -e user/completion/r3map ] || \
		$(INSTALL) -v -D -m 644 user/completion/r3map $(COMPDIR)/r3map

uninstall:
	rm -f $(BINDIR)/r3map $(INCDIR)/linux/r3map.h $(INCDIR)/r3map.h $(COMPDIR)/r3map
	rm -f $(LIBDIR)/libr3map.so $(LIBDIR)/libr3map.so.0 $(LIBDIR)/libr3map.a \
		$(LIBDIR)/pkgconfig/libr3map.pc $(EXAMPLE:user/libr3map/examples/%=$(EXDIR)/%)
	@for m in $(MAN); do rm -fv $(MANDIR)/man$${m##*.}/$${m##*/}; done

dkms-install:
	@command -v $(firstword $(DKMS)) >/dev/null || selftests/vm/packages.sh dkms
	@$(if $(DKMS_KERNEL),:,$(HEADERS))
	rm -rf $(DKMS_SOURCE)/r3map-$(VERSION)
	mkdir -p $(DKMS_SOURCE)/r3map-$(VERSION)
	find Kbuild Makefile COPYING dkms.conf kmod uapi -type f \
		\( -name '*.[ch]' -o -name Kbuild -o -name Makefile -o -name COPYING \
		-o -name dkms.conf \) -not -name '*.mod.c' \
		-exec cp --parents -p {} $(DKMS_SOURCE)/r3map-$(VERSION)/ \;
	$(DKMS) add -m r3map -v $(VERSION)
	$(DKMS) build -m r3map -v $(VERSION) $(DKMS_KERNEL)
	$(DKMS) install -m r3map -v $(VERSION) $(DKMS_KERNEL)

style:
	@selftests/style.sh

clean:
	@$(MAKE) --no-print-directory -C user clean
	@$(MAKE) --no-print-directory -C selftests clean
	@find . kmod -maxdepth 1 \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
		-o -name '*.mod.c' -o -name '.*.cmd' -o -name 'Module.symvers' \
		-o -name 'modules.order' -o -name '.Module.symvers.cmd' \) -type f -delete

help:
	@echo 'make            the module for KDIR (default: the running kernel), and the program'
	@echo 'make module     the module alone            make user    the program alone'
	@echo 'make demo       a remote disk used through /dev/r3map0, in the lab'
	@echo '                HOST=1 make demo: on the running kernel, as root'
	@echo 'make check      all tests; KERNELS="6.1 6.12:2 7.2" CPUS="1 2" TESTS=dev/resize.sh V=1'
	@echo 'make bench      the comparisons with other block devices, in virtual time; of all'
	@echo '                paths with QUESTIONS=comparison'
	@echo 'make vm-shell   a root shell in the lab with the module loaded; KERNEL=6.12'
	@echo 'make install    program, libr3map, man pages, completion, headers; DESTDIR= PREFIX=/usr/local'
	@echo 'make uninstall  takes these away again'
	@echo 'make dkms-install   the module for every kernel this machine gets'
	@echo 'make style      shellcheck, SPDX lines, whitespace, checkpatch, sparse'
	@echo 'make clean      what was built in this tree; the cache stays in $${R3MAP_CACHE:-~/.cache/r3map}'

endif

/* Debian keeps this header of 32-bit programs in a package of its own; nothing of it is needed. */

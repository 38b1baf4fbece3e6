#pragma once

/// Heap allocations of this process so far: calls of malloc, calloc, realloc and of their aligned relatives.
unsigned long counts_allocations(void);

/// Takes a value's address, so that the compiler must compute the value. Does nothing with it.
void counts_keep(const void *_Nonnull value);

// What Linux has for event loops beyond POSIX, and Swift's Glibc module leaves out.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>

// Declared only under _GNU_SOURCE, which a module cannot set for headers that another one has read already; and without
// their headers, whose declarations would then belong to this module instead of Glibc.
struct sockaddr;
int accept4(int descriptor, struct sockaddr *address, unsigned int *length, int flags);
int pthread_setname_np(unsigned long thread, const char *name);

// SPDX-License-Identifier: Apache-2.0
// libsavedmodel_forward.so: forwards the functions that must be unique in a process (its allocator and
// threads) to the definitions in use. It comes first in TensorFlow's scope (scope.cc), so deep binding
// reaches a preloaded allocator, a replaced `operator new` or a sanitizer.
#include <dlfcn.h>

#include <cstddef>

namespace {

// The process's definition of `name`. This library is opened without deep binding, so the global scope comes
// first.
void* Find(const char* name) {
  Dl_info self{}, found{};
  void* symbol = dlsym(RTLD_DEFAULT, name);
  if (symbol != nullptr && dladdr(reinterpret_cast<void*>(&Find), &self) != 0 &&
      dladdr(symbol, &found) != 0 && found.dli_fbase == self.dli_fbase) {
    symbol = dlsym(RTLD_NEXT, name);  // if it has no global definition: the one that this library links
  }
  return symbol;
}

template <typename Function>
struct Target {
  explicit Target(const char* name) : function(reinterpret_cast<Function*>(Find(name))) {}
  Function* const function;
};

}  // namespace

// Only the calling convention matters, so pointers to structures are void*. Names are set in assembler,
// because a C++ definition would have to repeat the headers' attributes.
#define FORWARD(name, result, parameters, arguments)          \
  namespace {                                                 \
  const Target<result parameters> target_##name(#name);       \
  }                                                           \
  extern "C" __attribute__((visibility("default")))           \
  result savedmodel_forward_##name parameters __asm__(#name); \
  result savedmodel_forward_##name parameters { return target_##name.function arguments; }

using Size = std::size_t;

FORWARD(malloc, void*, (Size size), (size))
FORWARD(calloc, void*, (Size count, Size size), (count, size))
FORWARD(realloc, void*, (void* pointer, Size size), (pointer, size))
FORWARD(reallocarray, void*, (void* pointer, Size count, Size size), (pointer, count, size))
FORWARD(free, void, (void* pointer), (pointer))
FORWARD(memalign, void*, (Size alignment, Size size), (alignment, size))
FORWARD(aligned_alloc, void*, (Size alignment, Size size), (alignment, size))
FORWARD(posix_memalign, int, (void** pointer, Size alignment, Size size), (pointer, alignment, size))
FORWARD(valloc, void*, (Size size), (size))
FORWARD(pvalloc, void*, (Size size), (size))
FORWARD(malloc_usable_size, Size, (void* pointer), (pointer))

// operator new, new[], delete and delete[], each plain, sized, aligned and nothrow.
FORWARD(_Znwm, void*, (Size size), (size))
FORWARD(_Znam, void*, (Size size), (size))
FORWARD(_ZnwmSt11align_val_t, void*, (Size size, Size alignment), (size, alignment))
FORWARD(_ZnamSt11align_val_t, void*, (Size size, Size alignment), (size, alignment))
FORWARD(_ZnwmRKSt9nothrow_t, void*, (Size size, const void* tag), (size, tag))
FORWARD(_ZnamRKSt9nothrow_t, void*, (Size size, const void* tag), (size, tag))
FORWARD(_ZnwmSt11align_val_tRKSt9nothrow_t, void*, (Size size, Size alignment, const void* tag),
        (size, alignment, tag))
FORWARD(_ZnamSt11align_val_tRKSt9nothrow_t, void*, (Size size, Size alignment, const void* tag),
        (size, alignment, tag))
FORWARD(_ZdlPv, void, (void* pointer), (pointer))
FORWARD(_ZdaPv, void, (void* pointer), (pointer))
FORWARD(_ZdlPvm, void, (void* pointer, Size size), (pointer, size))
FORWARD(_ZdaPvm, void, (void* pointer, Size size), (pointer, size))
FORWARD(_ZdlPvSt11align_val_t, void, (void* pointer, Size alignment), (pointer, alignment))
FORWARD(_ZdaPvSt11align_val_t, void, (void* pointer, Size alignment), (pointer, alignment))
FORWARD(_ZdlPvmSt11align_val_t, void, (void* pointer, Size size, Size alignment), (pointer, size, alignment))
FORWARD(_ZdaPvmSt11align_val_t, void, (void* pointer, Size size, Size alignment), (pointer, size, alignment))
FORWARD(_ZdlPvRKSt9nothrow_t, void, (void* pointer, const void* tag), (pointer, tag))
FORWARD(_ZdaPvRKSt9nothrow_t, void, (void* pointer, const void* tag), (pointer, tag))
FORWARD(_ZdlPvSt11align_val_tRKSt9nothrow_t, void, (void* pointer, Size alignment, const void* tag),
        (pointer, alignment, tag))
FORWARD(_ZdaPvSt11align_val_tRKSt9nothrow_t, void, (void* pointer, Size alignment, const void* tag),
        (pointer, alignment, tag))

// libtcmalloc brings libunwind with functions of these names. One unwinder cannot resume an exception that
// the other began.
FORWARD(_Unwind_RaiseException, int, (void* exception), (exception))
FORWARD(_Unwind_ForcedUnwind, int, (void* exception, void* stop, void* argument), (exception, stop, argument))
FORWARD(_Unwind_Resume, void, (void* exception), (exception))
FORWARD(_Unwind_Resume_or_Rethrow, int, (void* exception), (exception))
FORWARD(_Unwind_DeleteException, void, (void* exception), (exception))
FORWARD(_Unwind_Backtrace, int, (void* function, void* argument), (function, argument))
FORWARD(_Unwind_GetIP, Size, (void* context), (context))
FORWARD(_Unwind_GetIPInfo, Size, (void* context, int* before), (context, before))
FORWARD(_Unwind_SetIP, void, (void* context, Size value), (context, value))
FORWARD(_Unwind_GetGR, Size, (void* context, int index), (context, index))
FORWARD(_Unwind_SetGR, void, (void* context, int index, Size value), (context, index, value))
FORWARD(_Unwind_GetCFA, Size, (void* context), (context))
FORWARD(_Unwind_GetLanguageSpecificData, void*, (void* context), (context))
FORWARD(_Unwind_GetRegionStart, Size, (void* context), (context))
FORWARD(_Unwind_GetDataRelBase, Size, (void* context), (context))
FORWARD(_Unwind_GetTextRelBase, Size, (void* context), (context))
FORWARD(_Unwind_FindEnclosingFunction, void*, (void* address), (address))

// ThreadSanitizer crashes in a thread whose start it did not see, and must see what orders threads.
FORWARD(pthread_create, int, (void* thread, const void* attributes, void* (*start)(void*), void* argument),
        (thread, attributes, start, argument))
FORWARD(pthread_join, int, (unsigned long thread, void** result), (thread, result))
FORWARD(pthread_detach, int, (unsigned long thread), (thread))
FORWARD(pthread_once, int, (void* once, void (*function)()), (once, function))
FORWARD(pthread_mutex_init, int, (void* mutex, const void* attributes), (mutex, attributes))
FORWARD(pthread_mutex_destroy, int, (void* mutex), (mutex))
FORWARD(pthread_mutex_lock, int, (void* mutex), (mutex))
FORWARD(pthread_mutex_trylock, int, (void* mutex), (mutex))
FORWARD(pthread_mutex_timedlock, int, (void* mutex, const void* deadline), (mutex, deadline))
FORWARD(pthread_mutex_unlock, int, (void* mutex), (mutex))
FORWARD(pthread_cond_init, int, (void* condition, const void* attributes), (condition, attributes))
FORWARD(pthread_cond_destroy, int, (void* condition), (condition))
FORWARD(pthread_cond_wait, int, (void* condition, void* mutex), (condition, mutex))
FORWARD(pthread_cond_timedwait, int, (void* condition, void* mutex, const void* deadline),
        (condition, mutex, deadline))
FORWARD(pthread_cond_clockwait, int, (void* condition, void* mutex, int clock, const void* deadline),
        (condition, mutex, clock, deadline))
FORWARD(pthread_cond_signal, int, (void* condition), (condition))
FORWARD(pthread_cond_broadcast, int, (void* condition), (condition))
FORWARD(pthread_rwlock_init, int, (void* lock, const void* attributes), (lock, attributes))
FORWARD(pthread_rwlock_destroy, int, (void* lock), (lock))
FORWARD(pthread_rwlock_rdlock, int, (void* lock), (lock))
FORWARD(pthread_rwlock_wrlock, int, (void* lock), (lock))
FORWARD(pthread_rwlock_unlock, int, (void* lock), (lock))
FORWARD(sem_init, int, (void* semaphore, int shared, unsigned value), (semaphore, shared, value))
FORWARD(sem_destroy, int, (void* semaphore), (semaphore))
FORWARD(sem_wait, int, (void* semaphore), (semaphore))
FORWARD(sem_trywait, int, (void* semaphore), (semaphore))
FORWARD(sem_timedwait, int, (void* semaphore, const void* deadline), (semaphore, deadline))
FORWARD(sem_post, int, (void* semaphore), (semaphore))

// Sanitizers reset their state for newly mapped memory.
FORWARD(mmap, void*, (void* address, Size size, int protection, int flags, int file, long offset),
        (address, size, protection, flags, file, offset))
FORWARD(mmap64, void*, (void* address, Size size, int protection, int flags, int file, long offset),
        (address, size, protection, flags, file, offset))
FORWARD(munmap, int, (void* address, Size size), (address, size))

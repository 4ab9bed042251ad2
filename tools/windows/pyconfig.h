/* CPython's headers are the same on all systems but for this one.  It is for a compiler on
 * another system, x86-64 Windows as the target, and the limited API. */
#ifndef LT_WINDOWS_PYCONFIG_H
#define LT_WINDOWS_PYCONFIG_H

#include <io.h>

#define MS_WIN32 1
#define MS_WIN64 1
#define MS_WINDOWS 1
#define NT_THREADS 1

#define Py_ENABLE_SHARED 1  /* the interpreter is a DLL, */
#define HAVE_DECLSPEC_DLL 1 /* with __declspec(dllimport) on its names */

#define HAVE_ERRNO_H 1
#define HAVE_LONG_LONG 1
#define HAVE_SSIZE_T 1
#define HAVE_STDDEF_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_WCHAR_H 1
#define WITH_DOC_STRINGS 1

#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG 4 /* 8 on other 64-bit systems */
#define SIZEOF_LONG_LONG 8
#define SIZEOF_VOID_P 8
#define SIZEOF_SIZE_T 8
#define SIZEOF_TIME_T 8
#define SIZEOF_WCHAR_T 2
#define SIZEOF_PID_T 4
#define SIZEOF_OFF_T 4
#define SIZEOF_FPOS_T 8
#define SIZEOF_FLOAT 4
#define SIZEOF_DOUBLE 8
#define ALIGNOF_SIZE_T 8
#define ALIGNOF_MAX_ALIGN_T 8

#endif

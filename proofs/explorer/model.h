/* Included before the shim's own files, which then call the model of a system. */
#ifndef MODEL_H
#define MODEL_H

#define malloc model_malloc
#define calloc model_calloc
#define free model_free
#define syscall model_syscall
#define pthread_self model_self
#define pthread_mutex_init model_mutex_init
#define pthread_mutex_lock model_mutex_lock
#define pthread_mutex_unlock model_mutex_unlock
#define pthread_mutex_destroy model_mutex_destroy
#define pthread_cond_init model_cond_init
#define pthread_cond_destroy model_cond_destroy
#define pthread_cond_signal model_cond_signal
#define pthread_cond_wait model_cond_wait
#define pthread_cond_timedwait model_cond_timedwait
#define pthread_condattr_init model_condattr_init
#define pthread_condattr_setclock model_condattr_setclock
#define pthread_condattr_destroy model_condattr_destroy

#endif

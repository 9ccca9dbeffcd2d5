/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "kvm_target.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct kt {
	void *object;
	void *map;
	size_t map_size;
	struct kt *next;
};

static const struct kt_target *target;
static const char *target_path;
static struct kt *objects; /* every open object, newest first; objects_lock */
static pthread_mutex_t objects_lock = PTHREAD_MUTEX_INITIALIZER;

void kt_select(const struct kt_target *chosen, const char *path)
{
	target = chosen;
	target_path = path;
}

const char *kt_target_name(void)
{
	return target->name;
}

bool kt_has_fds(void)
{
	return target->has_fds;
}

static struct kt *kt_track(void *object)
{
	struct kt *kt = calloc(1, sizeof(*kt));

	if (!kt)
		abort();
	kt->object = object;
	pthread_mutex_lock(&objects_lock);
	kt->next = objects;
	objects = kt;
	pthread_mutex_unlock(&objects_lock);
	return kt;
}

int kt_open(struct kt **sys)
{
	void *object;
	int ret = target->open(target_path, &object);

	*sys = ret < 0 ? NULL : kt_track(object);
	return ret;
}

int kt_ioctl(struct kt *kt, unsigned long request, void *arg)
{
	return target->ioctl(kt->object, request, arg);
}

int kt_ioctl_int(struct kt *kt, unsigned long request, unsigned long arg)
{
	return target->ioctl(kt->object, request, (void *)(uintptr_t)arg);
}

int kt_make(struct kt *kt, unsigned long request, void *arg, struct kt **made)
{
	void *object = NULL;
	int ret = target->make(kt->object, request, arg, &object);

	*made = ret < 0 ? NULL : kt_track(object);
	return ret;
}

void *kt_map(struct kt *vcpu, size_t size)
{
	if (!vcpu->map) {
		vcpu->map = target->map(vcpu->object, size, 0);
		vcpu->map_size = size;
	}
	return vcpu->map;
}

void *kt_map_at(struct kt *vcpu, size_t offset, size_t size)
{
	return target->map(vcpu->object, size, offset);
}

long kt_pread(struct kt *kt, void *buf, size_t len, long long offset)
{
	return target->pread(kt->object, buf, len, offset);
}

int kt_fd(struct kt *kt)
{
	return target->has_fds ? (int)(intptr_t)kt->object : -1;
}

static void kt_release(struct kt *kt)
{
	if (kt->map)
		target->unmap(kt->map, kt->map_size);
	target->close(kt->object);
	free(kt);
}

void kt_close(struct kt *kt)
{
	pthread_mutex_lock(&objects_lock);
	for (struct kt **link = &objects; *link; link = &(*link)->next) {
		if (*link != kt)
			continue;
		*link = kt->next;
		break;
	}
	pthread_mutex_unlock(&objects_lock);
	kt_release(kt);
}

void kt_close_all(void)
{
	while (objects) {
		struct kt *kt = objects;

		objects = kt->next;
		kt_release(kt);
	}
}

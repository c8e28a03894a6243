// SPDX-License-Identifier: GPL-2.0
/*
 * Random numbers that are the same for the same seed.
 */
#include "random.h"

static uint64_t random_state;

void seed_random(uint64_t seed)
{
	random_state = seed;
}

uint64_t draw(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

unsigned int random_below(unsigned int n)
{
	return draw() % n;
}

bool percent(unsigned int n)
{
	return random_below(100) < n;
}

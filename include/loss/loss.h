/* SPDX-License-Identifier: Apache-2.0
 *
 * loss.h - libloss: loss functions with exact totals and true gradients.
 */
#ifndef LOSS_LOSS_H
#define LOSS_LOSS_H

#include <loss/arena.h>
#include <loss/catalog.h>
#include <loss/compute.h>
#include <loss/error.h>
#include <loss/sum.h>
#include <loss/tensor.h>

#endif

#pragma once

#include "base/host_device.hpp"

/// The formulas of diloco.hpp for one element, one operation a line: those of the scalar oracle and of devices. T is the
/// working type.
namespace hawser::element {

template <class T>
HAWSER_HOST_DEVICE inline T stepped(T outer, T direction, T rate) {
  const T change = rate * direction;
  return outer - change;
}

/// What the outer value goes along.
template <class T>
HAWSER_HOST_DEVICE inline T direction_of(T& momentum, T gradient, T factor, bool nesterov) {
  const T kept = factor * momentum;
  momentum = kept + gradient;
  const T ahead = factor * momentum;
  return nesterov ? gradient + ahead : momentum;
}

template <class T>
HAWSER_HOST_DEVICE inline T scaled(T value, T multiplier, T divisor) {
  const T multiplied = value * multiplier;
  return multiplied / divisor;
}

template <class T>
HAWSER_HOST_DEVICE inline T mixed(T local, T global, T of_local, T of_global) {
  const T mine = of_local * local;
  const T everybodys = of_global * global;
  return mine + everybodys;
}

template <class T>
HAWSER_HOST_DEVICE inline T plus_difference(T local, T a, T b) {
  const T difference = a - b;
  return local + difference;
}

}  // namespace hawser::element

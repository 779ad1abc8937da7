"""The two sums over the network, carried by Flower (https://flower.ai): its SecAgg+ masks what each gateway sends, so
the coordinator learns the sums and no summand. Needs the extra ``federated``, in an environment of its own."""

"""The interfaces of other libraries on Hawser: `import hawser.compat.pccl as pccl`."""

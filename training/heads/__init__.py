"""What is put on an encoder's tokens for a task: linear, attentive and MLP heads, and a decoder back to voxels."""

"""What inference, data and the torch-free runtime share, in numpy and cv2: letterbox, NMS, drawing."""

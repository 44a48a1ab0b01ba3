WHO = "the model's frames"

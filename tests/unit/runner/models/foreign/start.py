WHO = "the model's start"

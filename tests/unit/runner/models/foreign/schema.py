WHO = "the model's schema"

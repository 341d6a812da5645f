"""Operations on whole stores: describe, convert, merge, and repair of damaged parts."""

//! Drift: what a full run found to differ between both sides and the links, and what became of it.

use super::ids::text_enum;

text_enum! {
    /// How a record or one of its fields differs. The codes stay as they are: reports that are kept name them.
    DriftClass, "class of drift" {
        /// It is on the shop, and nothing in the ERP stands for it.
        MissingInErp = "missing_in_erp",
        /// It is in the ERP, and nothing on the shop stands for it although it is sent out.
        MissingOnShopify = "missing_on_shopify",
        /// It is linked, and the shop does not have it any more.
        Deleted = "deleted",
        /// It is linked, and the ERP does not have it any more.
        GoneFromErp = "gone_from_erp",
        /// One side has it archived or cancelled, the other does not.
        Archived = "archived",
        /// A mapped field holds something else.
        FieldDiffers = "field_differs",
        /// It is linked, and neither side has it.
        OrphanedLink = "orphaned_link",
        /// Two records of the ERP stand for one of the shop.
        DuplicateInErp = "duplicate_in_erp",
        /// Two records of the shop stand for one of the ERP.
        DuplicateOnShopify = "duplicate_on_shopify",
        /// The ERP's order costs something else than what was booked.
        TotalDiffers = "total_differs",
        /// The ERP's order bears another tax than what was booked.
        TaxDiffers = "tax_differs",
        /// A variant's stock at a location of the shop is not what the ERP has for it.
        StockDiffers = "stock_differs",
        /// It could not be compared.
        NotCompared = "not_compared",
    }
}

text_enum! {
    /// What became of what was found.
    DriftFate, "fate of drift" {
        /// A job was made that carries it over, the same that a webhook makes.
        Repaired = "repaired",
        /// A run that may write would make one: this one only looked.
        Repairable = "repairable",
        /// A job for the record is open already.
        InWork = "in_work",
        /// A person has to decide; a problem says what.
        NeedsPerson = "needs_person",
        /// A rule says that it stays so; it is named.
        LeftAlone = "left_alone",
        /// Nothing explains it and nothing was done about it.
        Unexplained = "unexplained",
    }
}

impl DriftClass {
    /// One plain sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::MissingInErp => "on Shopify, and nothing in the ERP stands for it",
            Self::MissingOnShopify => "in the ERP, and nothing on Shopify stands for it",
            Self::Deleted => "linked, and gone from Shopify",
            Self::GoneFromErp => "linked, and gone from the ERP",
            Self::Archived => "archived or cancelled on one side only",
            Self::FieldDiffers => "a mapped field differs",
            Self::OrphanedLink => "linked, and gone from both sides",
            Self::DuplicateInErp => "twice in the ERP",
            Self::DuplicateOnShopify => "twice on Shopify",
            Self::TotalDiffers => "the order's total is not the one that was booked",
            Self::TaxDiffers => "the order's tax is not the one that was booked",
            Self::StockDiffers => "the stock at a location is not what the ERP has for it",
            Self::NotCompared => "could not be compared",
        }
    }
}

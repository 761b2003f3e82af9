//! The kinds of personal data and secrets, with their stable names.
//!
//! Names are the ones of the Presidio analyzer where it has one, so that findings of both engines merge without a
//! translation table. Kinds that need a language model (persons, places) exist only to carry foreign findings.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

macro_rules! entities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $class:ident;)+) => {
        /// One kind of finding.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Entity {
            $($(#[$doc])* $variant,)+
            /// A pattern of the operator, or a kind that only an outside engine knows.
            Custom(Arc<str>),
        }

        impl Entity {
            /// Every built-in kind, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the stable name used in configuration, masks, output and metrics.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Custom(name) => name,
                }
            }

            /// Returns what the kind needs before it may be reported.
            #[must_use]
            pub fn class(&self) -> Class {
                match self {
                    $(Self::$variant => Class::$class,)+
                    Self::Custom(_) => Class::Certain,
                }
            }
        }
    };
}

/// What a kind needs before it may be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Shape and check are enough, at least for its formatted spelling. On by default.
    Certain,
    /// It has a check, but a weak one: its bare spelling counts only beside a context word. On by default.
    Checked,
    /// It has no check at all and always needs a context word. Off by default.
    Contextual,
    /// Not personal by itself. Off by default.
    Optional,
    /// No native detector; only an outside engine reports it.
    Foreign,
}

entities! {
    /// API keys, tokens, private keys, passwords.
    Secret = "SECRET", Certain;
    /// Payment card number: issuer range, length, Luhn.
    CreditCard = "CREDIT_CARD", Certain;
    /// International bank account number: country shape and mod 97.
    IbanCode = "IBAN_CODE", Certain;
    /// United States social security number.
    UsSsn = "US_SSN", Certain;
    /// United States individual taxpayer identification number.
    UsItin = "US_ITIN", Certain;
    /// National Health Service number of the United Kingdom.
    UkNhs = "UK_NHS", Checked;
    /// National insurance number of the United Kingdom.
    UkNino = "UK_NINO", Certain;
    /// Spanish tax number of nationals.
    EsNif = "ES_NIF", Certain;
    /// Spanish identity number of foreigners.
    EsNie = "ES_NIE", Certain;
    /// Italian personal tax code.
    ItFiscalCode = "IT_FISCAL_CODE", Certain;
    /// Italian value-added-tax number.
    ItVatCode = "IT_VAT_CODE", Checked;
    /// German tax identification number.
    DeTaxId = "DE_TAX_ID", Checked;
    /// French social security number.
    FrNir = "FR_NIR", Certain;
    /// Dutch citizen service number.
    NlBsn = "NL_BSN", Checked;
    /// Polish national identification number.
    PlPesel = "PL_PESEL", Checked;
    /// Swedish personal identity number.
    SePersonnummer = "SE_PERSONNUMMER", Certain;
    /// Finnish personal identity code.
    FiPersonalIdentityCode = "FI_PERSONAL_IDENTITY_CODE", Certain;
    /// Australian business number.
    AuAbn = "AU_ABN", Certain;
    /// Australian company number.
    AuAcn = "AU_ACN", Checked;
    /// Australian tax file number.
    AuTfn = "AU_TFN", Checked;
    /// Australian Medicare card number.
    AuMedicare = "AU_MEDICARE", Checked;
    /// Indian resident number.
    InAadhaar = "IN_AADHAAR", Certain;
    /// Indian permanent account number.
    InPan = "IN_PAN", Certain;
    /// Singaporean identity number.
    SgNricFin = "SG_NRIC_FIN", Certain;
    /// E-mail address.
    EmailAddress = "EMAIL_ADDRESS", Certain;
    /// IPv4 or IPv6 address, with prefix length when there is one.
    IpAddress = "IP_ADDRESS", Certain;
    /// Hardware address.
    MacAddress = "MAC_ADDRESS", Certain;
    /// Bitcoin address.
    Crypto = "CRYPTO", Certain;
    /// Telephone number.
    PhoneNumber = "PHONE_NUMBER", Certain;
    /// Number of a prescriber at the United States drug enforcement administration.
    MedicalLicense = "MEDICAL_LICENSE", Checked;
    /// United States passport number.
    UsPassport = "US_PASSPORT", Contextual;
    /// United States driver's licence.
    UsDriverLicense = "US_DRIVER_LICENSE", Contextual;
    /// United States bank account number.
    UsBankNumber = "US_BANK_NUMBER", Contextual;
    /// Web address.
    Url = "URL", Optional;
    /// Date or time; only from an outside engine.
    DateTime = "DATE_TIME", Foreign;
    /// Name of a person; only from an outside engine.
    Person = "PERSON", Foreign;
    /// Name of a place; only from an outside engine.
    Location = "LOCATION", Foreign;
    /// Name of an organization; only from an outside engine.
    Organization = "ORGANIZATION", Foreign;
    /// Nationality, religious or political group; only from an outside engine.
    Nrp = "NRP", Foreign;
}

/// The name is no built-in kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown entity `{0}`")]
pub struct UnknownEntity(pub String);

impl FromStr for Entity {
    type Err = UnknownEntity;

    fn from_str(name: &str) -> Result<Self, UnknownEntity> {
        Self::ALL
            .iter()
            .find(|entity| entity.name().eq_ignore_ascii_case(name))
            .cloned()
            .ok_or_else(|| UnknownEntity(name.to_owned()))
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Entity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_to_its_entity() {
        for entity in Entity::ALL {
            assert_eq!(entity.name().parse::<Entity>().as_ref(), Ok(entity));
            assert_eq!(entity.name().to_lowercase().parse::<Entity>().as_ref(), Ok(entity));
        }
        assert!("EMAIL".parse::<Entity>().is_err());
    }
}

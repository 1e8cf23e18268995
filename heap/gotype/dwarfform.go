package gotype

// Encodings of attributes.
const (
	formAddr      = 0x01
	formBlock2    = 0x03
	formBlock4    = 0x04
	formData2     = 0x05
	formData4     = 0x06
	formData8     = 0x07
	formString    = 0x08
	formBlock     = 0x09
	formBlock1    = 0x0a
	formData1     = 0x0b
	formFlag      = 0x0c
	formSdata     = 0x0d
	formStrp      = 0x0e
	formUdata     = 0x0f
	formRefAddr   = 0x10
	formRef1      = 0x11
	formRef2      = 0x12
	formRef4      = 0x13
	formRef8      = 0x14
	formRefUdata  = 0x15
	formIndirect  = 0x16
	formSecOffset = 0x17
	formExprloc   = 0x18
	formPresent   = 0x19
	formStrx      = 0x1a
	formAddrx     = 0x1b
	formRefSup4   = 0x1c
	formStrpSup   = 0x1d
	formData16    = 0x1e
	formLineStrp  = 0x1f
	formRefSig8   = 0x20
	formImplicit  = 0x21
	formLoclistx  = 0x22
	formRnglistx  = 0x23
	formRefSup8   = 0x24
	formStrx1     = 0x25
	formStrx2     = 0x26
	formStrx3     = 0x27
	formStrx4     = 0x28
	formAddrx1    = 0x29
	formAddrx2    = 0x2a
	formAddrx3    = 0x2b
	formAddrx4    = 0x2c
	formGNURefAlt = 0x1f20
	formGNUStrAlt = 0x1f21
)

type valueClass uint8

const (
	classOther valueClass = iota
	classAddress
	classIndex // into .debug_addr
	classBlock
	classConstant
	classOffset // into another section
	classListIndex
	classReference // offset in .debug_info
	classString
	classStr
	classLineStr
)

// value is an attribute's value as it is encoded.
type value struct {
	class valueClass
	u     uint64
	block []byte
}

// formLength is how many bytes an encoding takes, variableLength if that depends on the value.
func (u *unit) formLength(form uint32) int {
	wide := 4
	if u.wide {
		wide = 8
	}
	switch form {
	case formPresent, formImplicit:
		return 0
	case formData1, formFlag, formRef1, formStrx1, formAddrx1:
		return 1
	case formData2, formRef2, formStrx2, formAddrx2:
		return 2
	case formStrx3, formAddrx3:
		return 3
	case formData4, formRef4, formStrx4, formAddrx4, formRefSup4:
		return 4
	case formData8, formRef8, formRefSig8, formRefSup8:
		return 8
	case formData16:
		return 16
	case formAddr:
		return int(u.addrSize)
	case formRefAddr:
		if u.version < 3 {
			return int(u.addrSize)
		}
		return wide
	case formStrp, formLineStrp, formSecOffset, formStrpSup, formGNURefAlt, formGNUStrAlt:
		return wide
	}
	return variableLength
}

// value reads a value. An encoding that is not known makes the cursor bad: what follows cannot be found.
func (u *unit) value(c *cursor, form uint32) value {
	switch form {
	case formAddr:
		return value{class: classAddress, u: c.address(u.addrSize)}
	case formBlock1:
		return value{class: classBlock, block: c.take(uint64(c.u8()))}
	case formBlock2:
		return value{class: classBlock, block: c.take(uint64(c.u16()))}
	case formBlock4:
		return value{class: classBlock, block: c.take(uint64(c.u32()))}
	case formBlock, formExprloc:
		return value{class: classBlock, block: c.take(c.uleb())}
	case formString:
		return value{class: classString, block: c.cstring()}
	case formUdata:
		return value{class: classConstant, u: c.uleb()}
	case formSdata:
		return value{class: classConstant, u: uint64(c.sleb())}
	case formRefUdata:
		return value{class: classReference, u: u.start + c.uleb()}
	case formAddrx:
		return value{class: classIndex, u: c.uleb()}
	case formLoclistx, formRnglistx:
		return value{class: classListIndex, u: c.uleb()}
	case formStrx:
		return value{u: c.uleb()}
	case formPresent:
		return value{class: classConstant, u: 1}
	case formImplicit:
		return value{class: classConstant}
	case formData16:
		return value{class: classBlock, block: c.take(16)}
	case formIndirect:
		if next := uint32(c.uleb()); next != formIndirect && next != formImplicit {
			return u.value(c, next)
		}
		c.bad = true
		return value{}
	}
	return u.fixedValue(c, form)
}

// fixedValue reads a value whose encoding has one length.
func (u *unit) fixedValue(c *cursor, form uint32) value {
	var v value
	switch u.formLength(form) {
	case 1:
		v.u = uint64(c.u8())
	case 2:
		v.u = uint64(c.u16())
	case 3:
		v.u = uint64(c.u24())
	case 4:
		v.u = uint64(c.u32())
	case 8:
		v.u = c.u64()
	default:
		c.bad = true
	}
	switch form {
	case formData1, formData2, formData4, formData8, formFlag:
		v.class = classConstant
	case formSecOffset:
		v.class = classOffset
	case formRef1, formRef2, formRef4, formRef8:
		v.class = classReference
		v.u += u.start
	case formRefAddr:
		v.class = classReference
	case formAddrx1, formAddrx2, formAddrx3, formAddrx4:
		v.class = classIndex
	case formStrp:
		v.class = classStr
	case formLineStrp:
		v.class = classLineStr
	}
	return v
}
